"""Markdown and its front matter to plain text: markup goes, words and paragraphs stay."""

from __future__ import annotations

import re
from typing import Any

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_HEADING = re.compile(r" {0,3}#{1,6}(?:[ \t]+|$)")
_UNDERLINE = re.compile(r" {0,3}(?:=+|-{2,})[ \t]*")
_RULE = re.compile(r" {0,3}([-*_])(?:[ \t]*\1){2,}[ \t]*")
_ITEM = re.compile(r"[ \t]*(?:[-*+]|\d{1,9}[.)])[ \t]+")
_BULLET = re.compile(r"^[ \t]*[-*+][ \t]+")
_QUOTE = re.compile(r"(?: {0,3}>[ ]?)+")
_DEFINITION = re.compile(r" {0,3}\[[^\]^][^\]]*\]:[ \t]*\S+(?:[ \t]+(?:\"[^\"]*\"|'[^']*'|\([^)]*\)))?[ \t]*")
_TABLE_RULE = re.compile(r"[ \t]*\|?[ \t]*:?-{3,}:?[ \t]*(?:\|[ \t]*:?-{3,}:?[ \t]*)*\|?[ \t]*")

_ESCAPED = re.compile(r"\\([!-/:-@\[-`{-~])")
_SIGN = re.compile(r"[!-/:-@\[-`{-~]")
_PRIVATE = 0xF0000  # escaped signs and code wait in this private range, out of reach of the other rules
_HIDDEN = re.compile(f"[{chr(_PRIVATE + 0x21)}-{chr(_PRIVATE + 0x7E)}]")
_TAG = re.compile(r"</?[A-Za-z][A-Za-z0-9-]*(?:\s[^<>]*)?/?>")
_AUTOLINK = re.compile(r"<((?:https?://|mailto:)[^<>\s]+)>")
_LINKS = (
    (re.compile(r"!?\[([^\[\]]*)\]\([^()\s]*(?:\([^()]*\)[^()\s]*)?(?:[ \t]+(?:\"[^\"]*\"|'[^']*'))?\)"), r"\1"),
    (re.compile(r"\[\^[^\[\]\s]+\]:?"), ""),
    (re.compile(r"!?\[([^\[\]]+)\]\[[^\[\]]*\]"), r"\1"),
)
_CODE = re.compile(r"(?<!`)(`{1,2})([^`]+)\1(?!`)")
_RUN = re.compile(r"\*{1,3}|_{1,3}|~~")
LONGEST_HEADING = 200
_FRONT_MATTER = re.compile(r"---[ \t]*\r?\n(.*?)^(?:---|\.\.\.)[ \t]*(?:\r?\n|\Z)", re.DOTALL | re.MULTILINE)


def front_matter(text: str) -> tuple[dict[str, Any], str]:
    """The YAML mapping between two ``---`` lines at the very top, and the text after it.

    Where it is not such a mapping, nothing is taken off: ``({}, text)``.
    """
    match = _FRONT_MATTER.match(text)
    if match is None:
        return {}, text
    import yaml

    try:
        content = yaml.safe_load(match[1])
    except (yaml.YAMLError, ValueError, RecursionError):
        return {}, text
    if not isinstance(content, dict):
        return {}, text
    return {str(key): value for key, value in content.items()}, text[match.end() :]


def plain_text(markdown: str) -> tuple[str, str | None]:
    """The words of a Markdown text, paragraphs parted by blank lines, and its first heading (None without one).

    Soft line ends become spaces; the items of a list stay lines of their own; code stays as it is written.
    """
    blocks: list[list[list[str]]] = [[]]  # a block is lines, a line is the pieces that soft line ends part
    heading: str | None = None
    fence = ""
    for line in without_comments(markdown, keep_unclosed=True).splitlines():
        if fence or _FENCE.match(line):
            fence = _through_fence(line, fence, blocks)
            continue
        content = _QUOTE.sub("", line, count=1) if _QUOTE.match(line) else line
        title = _heading(content, blocks[-1])
        if title is not None:
            heading = heading or title or None
            blocks += [[[title]], []]
        elif not content.strip() or _RULE.fullmatch(content):
            blocks.append([])
        elif not _DEFINITION.fullmatch(content) and not _TABLE_RULE.fullmatch(content):
            _add_line(content, blocks[-1])
    texts = ["\n".join(inline_text(" ".join(pieces)) for pieces in block).strip() for block in blocks]
    return "\n\n".join(text for text in texts if text), heading


def _heading(line: str, block: list[list[str]]) -> str | None:
    """The words of a heading that ``line`` is, or underlines (they are then taken off ``block``)."""
    if match := _HEADING.match(line):
        words = line[match.end() :].rstrip()
        opened = words.rstrip("#")
        return inline_text(opened.strip() if not opened or opened[-1] in " \t" else words)
    if len(block) == 1 and _UNDERLINE.fullmatch(line):
        words = " ".join(block[0])
        if len(words) <= LONGEST_HEADING:
            block.clear()
            return inline_text(words)
    return None


def _through_fence(line: str, fence: str, blocks: list[list[list[str]]]) -> str:
    """Pass a line of a code block, or its fence; returns the fence that is now open."""
    match = _FENCE.match(line)
    if not fence:
        blocks.append([])
        return match[1] if match else ""
    if match and match[1].startswith(fence) and not line[match.end() :].strip():
        blocks.append([])
        return ""
    blocks[-1].append([_SIGN.sub(_hide, line)])
    return fence


def _add_line(line: str, block: list[list[str]]) -> None:
    """Add a line to its block: joined to the line before, unless it is an item of a list or a row of a table."""
    if line.lstrip().startswith("|"):
        block.append([line.replace("|", " ").strip()])
    elif _ITEM.match(line) or not block:
        block.append([_BULLET.sub("- ", line, count=1).strip().removesuffix("\\")])
    else:
        block[-1].append(line.strip().removesuffix("\\"))


def inline_text(markdown: str) -> str:
    """A line's words without emphasis, links, images, tags and escapes."""
    text = _CODE.sub(lambda match: _SIGN.sub(_hide, match[2]), _ESCAPED.sub(_hide, markdown))
    text = _TAG.sub("", _AUTOLINK.sub(r"\1", text))
    for pattern, replacement in _LINKS:
        text = pattern.sub(replacement, text)
    return _HIDDEN.sub(lambda match: chr(ord(match[0]) - _PRIVATE), _without_emphasis(text))


def _without_emphasis(text: str) -> str:
    """Drop the pairs of equal runs of ``*``, ``_`` or ``~~`` that open before a word and close after one."""
    opened: dict[str, list[int]] = {}
    dropped: list[tuple[int, int]] = []
    for match in _RUN.finditer(text):
        run, start, end = match[0], match.start(), match.end()
        before, after = text[start - 1 : start], text[end : end + 1]
        inside_word = run[0] == "_" and before.isalnum() and after.isalnum()
        if before.strip() and not inside_word and opened.get(run):
            dropped += [(opened[run].pop(), len(run)), (start, len(run))]
        elif after.strip() and not (run[0] == "_" and before.isalnum()):
            opened.setdefault(run, []).append(start)
    parts: list[str] = []
    last = 0
    for start, length in sorted(dropped):
        parts.append(text[last:start])
        last = start + length
    return "".join(parts) + text[last:]


def _hide(match: re.Match[str]) -> str:
    return chr(_PRIVATE + ord(match[match.lastindex or 0]))


def without_comments(text: str, *, keep_unclosed: bool) -> str:
    """Cut ``<!-- … -->`` in one pass; one that is never closed runs to the end, or is kept as text."""
    parts: list[str] = []
    start = 0
    while (opens := text.find("<!--", start)) >= 0:
        closes = text.find("-->", opens + 2)
        if closes < 0 and keep_unclosed:
            break
        parts.append(text[start:opens])
        start = len(text) if closes < 0 else closes + 3
    return "".join(parts) + text[start:]
