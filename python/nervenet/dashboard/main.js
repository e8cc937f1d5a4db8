// SPDX-License-Identifier: Apache-2.0
// The dashboard: the frame around the views, and which view is shown. The page is `core` (calls, live reads, words), `parts`
// (what views are made of) and `views`; each imports only from those before it. There is no build step: what you read runs.
import { html, render, useEffect } from "./core/ui.js";
import { isHelpShown, listen } from "./core/keys.js";
import { route } from "./core/router.js";
import { Messages } from "./parts/dialog.js";
import { Frame } from "./views/frame.js";
import { Help } from "./views/help.js";
import { swapTheme } from "./views/settings.js";
import { Agents } from "./views/agents.js";
import { Capabilities } from "./views/capabilities.js";
import { Definitions } from "./views/definitions.js";
import { Escalations } from "./views/escalations.js";
import { Overview } from "./views/overview.js";
import { Workflow } from "./views/workflow.js";
import { Workflows } from "./views/workflows.js";

const VIEWS = { overview: Overview, workflows: Workflows, escalations: Escalations, agents: Agents, capabilities: Capabilities, definitions: Definitions };

function App() {
  const { view, id } = route.value;
  const View = view === "workflows" && id ? Workflow : (VIEWS[view] ?? Overview);
  useEffect(() => {
    document.title = `${id || view} · nervenet`;
    document.getElementById("main")?.scrollTo(0, 0);
  }, [view, id]);
  return html`<${Frame}><${View} key=${view === "workflows" ? id : view} id=${id} /></${Frame}>
    ${isHelpShown.value && html`<${Help} />`}
    <${Messages} />`;
}

listen({ t: swapTheme });
render(html`<${App} />`, document.body);
