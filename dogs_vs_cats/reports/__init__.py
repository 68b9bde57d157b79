"""Pages and figures: the comparison, an audit, a study."""
