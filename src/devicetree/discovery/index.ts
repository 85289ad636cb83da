/** Discovery of tag storage in a device tree, strictly by the binding or as the posted series does it. */

import type { DeviceTree } from '../tree.js';
import { BindingDiscovery } from './binding.js';
import { discoverAsLinuxV3 } from './linux-v3.js';
import type { Discovery, DiscoveryOptions } from './types.js';

export { discoveryDiagnostic, discoveryText, type Locator } from './report.js';
export * from './types.js';

/** What a kernel would find; never throws, whatever the tree says. */
export function discoverTagStorage(tree: DeviceTree, options: DiscoveryOptions): Discovery {
  if (options.as === 'linux-v3') return discoverAsLinuxV3(tree, options.pageSize);
  return new BindingDiscovery(tree, options.pageSize).discover();
}
