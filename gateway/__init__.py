"""The door: decodes, authenticates, limits, routes and answers; knows no rule of the game."""
