"""The harness: from a YAML study to records, boards and figures."""
