"""A corpus made again from a publication and the media that a user has."""
