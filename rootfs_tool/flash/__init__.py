"""rootfs-tool flash: an image onto a card, guarded, verified, and never onto the wrong disk.

``source.find(path)`` is what is to be written, ``disk.inspect`` what it is to be written to, and
``write.flash(source, path, rdev=…)`` does it.
"""
