"""The `greenroom` command and what stands behind it: setup, the embedded servers, inspection, content, load."""
