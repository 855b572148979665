"""The lab with what only tests want: planned faults, an access log, listeners for one host."""
