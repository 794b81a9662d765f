"""Reports: records become one DataFrame, then statistics, tables, figures and one HTML page.

``frame`` builds the DataFrame, ``stats`` averages and tests, ``tables`` and ``figures`` have one
file per output, made with ``typeset`` and ``plotting``, and ``page`` writes the HTML file. May
import the store, the plan and what is below them; never torch, training or execution.
"""

from harness.report.declare import Drawing, TableContents, figure, table

__all__ = ["Drawing", "TableContents", "figure", "table"]
