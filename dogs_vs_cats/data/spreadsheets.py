"""Texts in CSV files that a spreadsheet may open, which takes some names for formulas and runs them."""

import re

# What a formula begins with, in Excel, LibreOffice and others: OWASP, "CSV injection".
_FORMULA = re.compile(r"'*[=+\-@\t]")


def as_cell(text: str) -> str:
    """Return a text as a cell that shows it: one that begins as a formula gets an apostrophe before it."""
    text = text.replace("\r", "\\r")  # would end the line: Python 3.11 does not quote it
    return f"'{text}" if _FORMULA.match(text) else text


def from_cell(cell: str) -> str:
    """Return the text that ``as_cell`` made a cell of; a cell that somebody wrote without it stays as it is."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell
