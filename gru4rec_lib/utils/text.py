"""Show text of users' files in messages."""

from __future__ import annotations


def shown(text: str, most: int = 200) -> str:
    """Return a text on one line, cut to `most` characters.

    Args:
        text: of any length.
        most: maximum number of characters, at least 1; an ellipsis is added if the text is cut.
    """
    text = text[: most + 1]
    text = "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)
    return text if len(text) <= most else f"{text[:most]}…"
