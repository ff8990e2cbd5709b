"""Text of users' files, as messages show it."""

from __future__ import annotations


def shown(text: str, most: int = 200) -> str:
    """A text of a file as a message shows it: on one line, and not longer than `most`.

    Args:
        text: of any length.
        most: characters, 1 and more; what is left out is told by an ellipsis behind them.
    """
    text = text[: most + 1]
    text = "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)
    return text if len(text) <= most else f"{text[:most]}…"
