/** Discovery of tag storage in a device tree, strictly by the binding or as the posted series does it. */

import type { DeviceTree } from '../tree.js';
import { BindingDiscovery } from './binding.js';
import type { Discovery, DiscoveryOptions } from './types.js';

export * from './types.js';

/** What a kernel would find; never throws, whatever the tree says. */
export function discoverTagStorage(tree: DeviceTree, options: DiscoveryOptions): Discovery {
  return new BindingDiscovery(tree, options.pageSize).discover();
}
