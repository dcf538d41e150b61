"""`greenroom verify`: proves on an operator's own data, while it is in use, that what Greenroom promises holds."""
