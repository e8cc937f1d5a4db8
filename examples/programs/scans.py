# SPDX-License-Identifier: Apache-2.0
"""500 pages, 40 at a time, read in a process pool; a page that was begun continues from its last line.

Try it:

    nervenet dev scans.py
    python -c 'import json; print(json.dumps([dict(number=n, line_count=3) for n in range(500)]))' > pages.json
    nervenet start digitise @pages.json --wait
"""

from pages import Page, Text, lines, ocr_page

from nervenet import CallFailed, CallOptions, Context, Mesh, Selection, Task

mesh = Mesh("scans")
GPU = CallOptions(selection=Selection("least_loaded", match={"accelerator": "gpu"}))


@mesh.agent(slots=2, run="process", labels={"accelerator": "gpu"})
def ocr(task: Task, page: Page) -> Text:
    done = task.restore(list[str]) or []
    for line in lines(page)[len(done) :]:
        done.append(ocr_page(line))
        task.checkpoint(done)  # the next attempt continues from here
        task.progress(len(done) / page.line_count)
    return Text(page.number, done)


@mesh.workflow
async def digitise(ctx: Context, pages: list[Page]) -> dict[str, int]:
    results = await ctx.map_settled(ocr, pages, concurrency=40, options=GPU)
    failed = sum(isinstance(r, CallFailed) for r in results)
    ctx.publish(counts := {"read": len(results) - failed, "failed": failed})
    return counts
