"""The game: pure rules, one file for a kind, and the plumbing that runs them in `actors.runtime`."""

from pkgutil import extend_path

# A game may keep its own kinds outside of this project: in any folder `actors` on PYTHONPATH.
__path__ = extend_path(__path__, __name__)
