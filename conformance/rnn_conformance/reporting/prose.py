"""Markdown of the specification as HTML: with mathematics as MathML, an anchor at every clause, and links between the pages."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Sequence
from functools import cache
from typing import Any

from latex2mathml.converter import convert
from markdown_it import MarkdownIt
from markdown_it.token import Token
from mdit_py_plugins.dollarmath import dollarmath_plugin

_CLAUSE = re.compile(r"^([A-Z][A-Z0-9]*(?:-[A-Z0-9]+)+)(?=:| \()")
_MENTION = re.compile(r"\b[A-Z][A-Z0-9]*(?:-[A-Z0-9]+)+\b")
_PAGE = re.compile(r"^(?!https?:)(?:\.\./spec/)?([a-z]+)\.md(#.*)?$")


def _math(text: str, options: dict[str, Any]) -> str:
    if not options.get("display_mode"):
        return convert(text.strip(), display="inline")
    # Wide equations scroll, and what scrolls must be reachable by keyboard.
    return f'<span class="display" tabindex="0">{convert(text.strip(), display="block")}</span>'


@cache
def _markdown() -> MarkdownIt:
    return (
        MarkdownIt("commonmark", {"html": False})
        .enable("table")
        .use(dollarmath_plugin, renderer=_math, allow_space=True, double_inline=True)
    )


def rendered(text: str, pages: Sequence[str] = (), root: str = "", named: Container[str] = ()) -> str:
    """HTML of a text in Markdown.

    Parameters
    ----------
    pages : sequence of str
        Names of the files of the specification that have a page in ``spec/``: links to them lead there, others are left as text.
    root : str
        The way from the page to the site's root, such as ``../``.
    named : container of str
        Clauses that have a page: where their names stand in the text they lead there.
    """
    tokens = _markdown().parse(text)
    for number, token in enumerate(tokens):
        if token.type == "heading_open":
            title = tokens[number + 1].content
            found = _CLAUSE.match(title)
            token.attrSet("id", found[1] if found else _slug(title))
            if found:
                token.attrSet("class", "clause")
        elif token.type == "table_open":
            token.attrSet("tabindex", "0")  # wide ones scroll
        _relink(token, pages, root)
        if token.type == "inline" and tokens[number - 1].type != "heading_open":
            token.children = list(_mentions(token.children or [], root, named))
    html = str(_markdown().renderer.render(tokens, _markdown().options, {}))
    return html.replace("<pre>", '<pre tabindex="0">')


def _relink(token: Token, pages: Sequence[str], root: str) -> None:
    for child in token.children or ():
        if child.type == "link_open":
            target = str(child.attrGet("href") or "")
            page = _PAGE.match(target)
            if page and page[1] in pages:
                child.attrSet("href", f"{root}spec/{page[1]}.html{page[2] or ''}")
            elif not target.startswith(("http:", "https:", "#")):
                child.attrSet("href", "#")
                child.attrSet("title", target)


def _mentions(children: Sequence[Token], root: str, named: Container[str]) -> Iterator[Token]:
    """Text with links at the names of clauses, but for text that is a link already."""
    inside = 0
    for child in children:
        inside += {"link_open": 1, "link_close": -1}.get(child.type, 0)
        if child.type != "text" or inside:
            yield child
            continue
        end = 0
        for match in _MENTION.finditer(child.content):
            if match[0] in named:
                yield _text(child.content[end : match.start()])
                yield Token("link_open", "a", 1, attrs={"href": f"{root}clauses/{match[0]}.html"})
                yield _text(match[0])
                yield Token("link_close", "a", -1)
                end = match.end()
        yield _text(child.content[end:])


def _text(content: str) -> Token:
    return Token("text", "", 0, content=content)


def _slug(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
