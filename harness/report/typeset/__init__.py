"""Numbers as text: tables, marks for the best, and Markdown, LaTeX and terminal formats.

Imports ``frame`` and ``stats``; ``tables`` has what each table of the report shows.
"""
