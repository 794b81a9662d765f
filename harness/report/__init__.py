"""Reports: records to one DataFrame, to statistics, tables and figures."""
