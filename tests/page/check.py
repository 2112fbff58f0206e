"""Holds pages against what HTML, accessibility and their own promise ask: check.py PAGE… Prints the tables of each as JSON."""

import json
import re
import sys
from html.parser import HTMLParser

VOID = {"meta", "br", "hr", "input", "col", "wbr", "link", "img"}
# What would run, load or send something.
ACTIVE = {"script", "link", "iframe", "object", "embed", "img", "image", "form", "base", "audio", "video", "use", "foreignobject"}
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


class Page(HTMLParser):
    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.open, self.ids, self.named, self.tables, self.styles = [], [], [], [], []
        self.policy = self.lang = self.doctype = None
        self.headings, self.plots, self.text = [], 0, []

    def must(self, holds, what):
        if not holds:
            sys.exit(f"line {self.getpos()[0]}: {what}; open: {' '.join(self.open)}")

    def handle_decl(self, text):
        self.doctype = text

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.must(len(values) == len(attributes), f"<{tag}> has an attribute twice")
        self.must(tag not in ACTIVE, f"<{tag}>")
        for name, value in attributes:
            self.must(not name.startswith("on"), f"<{tag} {name}>")
            self.must(name not in {"src", "srcset", "action", "data", "xlink:href"}, f"<{tag} {name}>")
            self.must(name != "href" or value.startswith("#"), f"<{tag} href={value}>")
            self.must("http" not in (value or "") or name == "xmlns" or "-equiv" in name or tag == "bdi", f"<{tag} {name}={value}>")
        if "id" in values:
            self.must(values["id"] not in self.ids, f"id {values['id']} twice")
            self.ids.append(values["id"])
        self.named.append(values.get("aria-labelledby"))
        self.styles.append(values.get("style") or "")
        if tag == "html":
            self.lang = values.get("lang")
        if tag == "meta" and values.get("http-equiv") == "Content-Security-Policy":
            self.policy = values["content"]
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag == "svg":
            self.must("role=img" in self.open[-1], "a figure without words for those who do not see it")
            self.plots += 1
        if tag == "th":
            self.must(values.get("scope") in {"row", "col"}, "<th> without scope")
        if tag == "table":
            self.tables.append({"caption": None, "rows": []})
        if tag == "caption":
            self.tables[-1]["caption"] = ""
        if tag == "tr":
            self.tables[-1]["rows"].append([])
        if tag in {"td", "th"}:
            self.tables[-1]["rows"][-1].append("")
        if tag not in VOID:
            told = values.get("role") == "img" and values.get("aria-label")
            self.open.append(tag + (" role=img" if told else ""))

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag):
        self.must(self.open and self.open[-1].split()[0] == tag, f"</{tag}>")
        self.open.pop()

    def handle_data(self, text):
        inside = {name.split()[0] for name in self.open}
        if "style" in inside:
            self.styles.append(text)
        else:
            self.text.append(text)
        if "caption" in inside:
            self.tables[-1]["caption"] += text
        elif inside & {"td", "th"}:
            self.tables[-1]["rows"][-1][-1] += text


def check(path):
    page = Page()
    page.feed(open(path, encoding="utf-8", newline="").read())
    page.close()
    page.must(not page.open, "the end")
    page.must(page.doctype == "DOCTYPE html" and page.lang == "en", "doctype and language")
    page.must(page.policy == POLICY, f"the policy {page.policy}")
    page.must(all(name is None or name in page.ids for name in page.named), "a name that is nowhere")
    page.must(not any(re.search(r"url\(|@import|expression\(", style) for style in page.styles), "a style that loads")
    page.must(page.headings.count(1) == 1 and page.headings[0] == 1, "one title")
    page.must(all(b <= a + 1 for a, b in zip(page.headings, page.headings[1:])), "a heading is skipped")
    page.must(all(table["caption"] for table in page.tables), "a table without a caption")
    page.must(page.plots > 0, "figures")
    return {"tables": {table["caption"]: table["rows"] for table in page.tables}, "text": "".join(page.text)}


print(json.dumps([check(path) for path in sys.argv[1:]]))
