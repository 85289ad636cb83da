/**
 * A search tree ordered by the contents of pages, for KSM (lib/rbtree.c as mm/ksm.c uses it).
 *
 * Comparing two entries means comparing pages, which may sleep and may find that an entry is gone: so the
 * caller walks down from the root by himself, and the tree only links and unlinks. It is kept shallow as a
 * treap is, each entry above those of smaller priority; priorities follow from the order of insertion, so that
 * two runs build the same tree. Contents may have changed since an entry went in (unstable tree): then a
 * search misses it, and nothing else happens.
 */

export interface TreeEntry<T> {
  readonly value: T;
  left: TreeEntry<T> | undefined;
  right: TreeEntry<T> | undefined;
  parent: TreeEntry<T> | undefined;
  readonly priority: number;
}

/** Where a search ended: below `parent`, or at the root of an empty tree. */
export interface TreePlace<T> {
  readonly parent: TreeEntry<T> | undefined;
  readonly left: boolean;
}

/** 2^32 divided by the golden ratio: multiples of it are spread evenly. */
const SPREAD = 0x9e3779b1;

export class ContentTree<T> {
  #root: TreeEntry<T> | undefined;
  #size = 0;
  #inserted = 0;

  get root(): TreeEntry<T> | undefined {
    return this.#root;
  }

  get size(): number {
    return this.#size;
  }

  /** RB_ROOT: what was in it is in no tree any more, and must not be removed. */
  clear(): void {
    this.#root = undefined;
    this.#size = 0;
  }

  /** rb_link_node() and rb_insert_color(), at a place that is free. */
  insert(value: T, { parent, left }: TreePlace<T>): TreeEntry<T> {
    const priority = Math.imul(++this.#inserted, SPREAD) >>> 0;
    const entry: TreeEntry<T> = { value, left: undefined, right: undefined, parent, priority };
    this.#size++;
    if (parent === undefined) this.#root = entry;
    else if (left) parent.left = entry;
    else parent.right = entry;
    while (entry.parent !== undefined && entry.parent.priority < priority) this.#rotateUp(entry);
    return entry;
  }

  /** rb_erase(). */
  remove(entry: TreeEntry<T>): void {
    for (;;) {
      const { left, right } = entry;
      if (left === undefined || right === undefined) {
        this.#replace(entry, left ?? right);
        break;
      }
      this.#rotateUp(left.priority > right.priority ? left : right);
    }
    this.#size--;
    entry.left = undefined;
    entry.right = undefined;
    entry.parent = undefined;
  }

  /** Every value, in order of contents as they were. */
  *values(): IterableIterator<T> {
    let at = this.#root;
    while (at?.left !== undefined) at = at.left;
    while (at !== undefined) {
      yield at.value;
      at = next(at);
    }
  }

  #replace(entry: TreeEntry<T>, by: TreeEntry<T> | undefined): void {
    const { parent } = entry;
    if (parent === undefined) this.#root = by;
    else if (parent.left === entry) parent.left = by;
    else parent.right = by;
    if (by !== undefined) by.parent = parent;
  }

  /** The entry and its parent change places. */
  #rotateUp(entry: TreeEntry<T>): void {
    const parent = entry.parent!;
    this.#replace(parent, entry);
    if (parent.left === entry) {
      parent.left = entry.right;
      if (entry.right !== undefined) entry.right.parent = parent;
      entry.right = parent;
    } else {
      parent.right = entry.left;
      if (entry.left !== undefined) entry.left.parent = parent;
      entry.left = parent;
    }
    parent.parent = entry;
  }
}

function next<T>(entry: TreeEntry<T>): TreeEntry<T> | undefined {
  if (entry.right !== undefined) {
    let at = entry.right;
    while (at.left !== undefined) at = at.left;
    return at;
  }
  let at = entry;
  while (at.parent !== undefined && at.parent.right === at) at = at.parent;
  return at.parent;
}
