// SPDX-License-Identifier: Apache-2.0
// Dark or light before the first paint. A classic script, because a module runs too late: the page would flash.
"use strict";
{
  const chosen = localStorage.getItem("nervenet.theme");
  if (chosen === "dark" || chosen === "light") document.documentElement.dataset.theme = chosen;
}
