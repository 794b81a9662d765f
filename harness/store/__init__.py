"""Everything that a run leaves behind: records of what has ended, and the files that they name.

``record`` says what a record holds, ``record_files`` how records are written, ``store`` joins them
with their artifacts; ``compact``, ``merge`` and ``gc`` maintain a store. May import ``plan.keys``
and errors, nothing else of the harness. Below it is the plan, which says under which key a result
is kept; above it are evaluation, training and execution, which fill a store, and the report, which
reads it.
"""
