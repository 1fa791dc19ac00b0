"""The fields and checks that the request schemas share."""
