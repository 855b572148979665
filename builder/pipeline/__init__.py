"""One file per verb: the only place that combines the other rooms."""
