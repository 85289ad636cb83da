/** Random programs against a shadow of every byte and tag: commands, scripts, and what runs them. */
export * from './commands.js';
export { Model } from './model.js';
export { bootScript, runScript, type ScriptVerdict } from './run.js';
export {
  DEFAULT_SETTINGS,
  formatScript,
  parseScript,
  type Script,
  type ScriptSettings,
} from './script.js';
export { randomCommands, searchScripts, shrinkScript } from './shrink.js';
