"""The fetcher: puts a model's files onto a volume, once, whole and verified, whatever happens on the way.

The hub, an S3 store and plain web servers differ only in how they tell which files there are and how a request is
signed (`sources/`). One downloader serves them all, so that resuming, verifying, retrying and stopping are made, and
tested, once. The target directory appears by one rename when everything in it is verified.
"""
