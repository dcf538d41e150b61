"""`greenroom bench`: what Greenroom costs, as ratios to plain programs measured in the same run."""
