"""How fast airseed is beside other programs that do the same work (``make bench``)."""
