"""The embedded loopback upstream that the demo and the tests share."""
