/** Terminals: line discipline, consoles, pseudo-terminals. */
export * from './console.js';
export * from './line-discipline.js';
export * from './pty.js';
export * from './termios.js';
export * from './tty.js';
export * from './ttys.js';
