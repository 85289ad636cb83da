"""Prints, for each blob named on standard input, the digest of the tree as libfdt sees it: the tests compare."""
import hashlib, sys
import libfdt

def digest(blob):
    fdt = libfdt.FdtRo(blob)
    sha = hashlib.sha256()
    path, node, depth = [], 0, 0
    while node >= 0:
        path[depth:] = [fdt.get_name(node)]
        sha.update((("/" + "/".join(path[1:])) + "\n").encode("latin-1"))
        at = fdt.first_property_offset(node, libfdt.QUIET_NOTFOUND)
        while at >= 0:
            p = fdt.get_property_by_offset(at)
            sha.update((p.name + "=" + bytes(p).hex() + "\n").encode("latin-1"))
            at = fdt.next_property_offset(at, libfdt.QUIET_NOTFOUND)
        node, depth = fdt.next_node(node, depth, libfdt.QUIET_NOTFOUND)
        if depth < 0:
            break
    return sha.hexdigest()

for line in sys.stdin:
    name = line.rstrip("\n")
    with open(name, "rb") as f:
        print(digest(f.read()), name)
