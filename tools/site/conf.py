# SPDX-License-Identifier: Apache-2.0
"""Sphinx's configuration for `make docs` (docs/decisions/0037)."""

project = "nervenet"
copyright = "the nervenet authors, Apache-2.0"  # noqa: A001  Sphinx' name
extensions = ["myst_parser"]
root_doc = "index"
source_suffix = {".md": "markdown"}

# The anchors that a code host gives to headings, so that one link is right in both places.
myst_heading_anchors = 4
myst_links_external_new_tab = False
nitpicky = True

html_theme = "furo"
html_title = "nervenet"
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
html_static_path = ["static"]
html_css_files = ["site.css"]
html_theme_options: dict[str, list[str]] = {"top_of_page_buttons": []}
pygments_style = "friendly"
pygments_dark_style = "monokai"
