"""Show text of users' files in messages."""

from __future__ import annotations


def shown(text: str, most: int = 200) -> str:
    """Return a text on one line and not longer than `most`.

    Args:
        text: of any length.
        most: characters, 1 and more; an ellipsis follows where it is cut.
    """
    text = text[: most + 1]
    text = "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)
    return text if len(text) <= most else f"{text[:most]}…"
