/**
 * The parser of device tree source: files to a live tree, the grammar of dtc 1.6.1.
 *
 * Structure is read here with a stack of open nodes of its own (no recursion: nesting is bounded only
 * by `DEEPEST`); values go to the arcsecond grammar of values.ts, one statement at a time. What
 * follows the base tree (`&label { }`, `/delete-node/ &label`) acts at once, as in dtc, so it sees the
 * tree as it is at that point.
 */

import { InputError, positionOf } from '../../base/index.js';
import { DEEPEST } from '../read.js';
import type { MemoryReservation } from '../tree.js';
import {
  type IncludeLoader,
  Kind,
  Lexer,
  type SourceFile,
  spanBetween,
  spanOf,
  type Token,
} from './lexer.js';
import {
  deleteNode,
  indexLabels,
  LabelIndex,
  LiveNode,
  LiveProperty,
  mergeNodes,
  nodeByRef,
} from './live.js';
import { parse, TokenStream } from './stream.js';
import { type BinaryLoader, type ValueGrammar, valueGrammar } from './values.js';

export interface ParsedSource {
  readonly root: LiveNode;
  readonly labels: LabelIndex;
  readonly memreserve: MemoryReservation[];
  readonly memreserveLabels: readonly string[];
  readonly plugin: boolean;
  /** What was done, counted: tokens made, tokens looked at, characters consumed. */
  readonly work: { readonly tokens: number; readonly looks: number; readonly characters: number };
}

const code = (c: string) => c.charCodeAt(0);
const SLASH = code('/');
const SEMICOLON = code(';');
const OPEN_BRACE = code('{');
const CLOSE_BRACE = code('}');
const EQUALS = code('=');
const NO_BYTES = new Uint8Array(0);

interface OpenNode {
  readonly node: LiveNode;
  readonly brace: Token;
  hasSubnodes: boolean;
}

class DtsParser {
  readonly #lexer: Lexer;
  readonly #stream: TokenStream;
  readonly #values: ValueGrammar;
  readonly #labels = new LabelIndex();
  readonly #memreserve: MemoryReservation[] = [];
  readonly #memreserveLabels: string[] = [];
  #plugin = false;
  #fragments = 0;

  constructor(file: SourceFile, include: IncludeLoader | undefined, incbin: BinaryLoader | undefined) {
    this.#lexer = new Lexer(file, include);
    this.#stream = new TokenStream(this.#lexer);
    this.#values = valueGrammar(this.#lexer, incbin);
  }

  parseFile(): ParsedSource {
    this.#headers();
    this.#reservations();
    const root = this.#tree();
    if (this.#lexer.diagnostics.length > 0) throw new InputError(this.#lexer.diagnostics);
    return {
      root,
      labels: this.#labels,
      memreserve: this.#memreserve,
      memreserveLabels: this.#memreserveLabels,
      plugin: this.#plugin,
      work: {
        tokens: this.#lexer.tokens,
        looks: this.#stream.looks,
        characters: this.#lexer.characters,
      },
    };
  }

  /** A syntax error where the stream stands; the parse ends there, as dtc's does. */
  #syntaxError(help?: string): InputError {
    const token = this.#stream.peek();
    const expected = this.#stream.expected;
    const found = this.#stream.describeCurrent();
    const message = expected === '' ? `syntax error at ${found}` : `syntax error: expected ${expected}`;
    return this.#lexer.fatal('DTS-SYNTAX', message, spanOf(token), help, this.#lastUnderstood(token));
  }

  /** Where the text before an error on a later line ended: there the missing character belongs. */
  #lastUnderstood(token: Token): string[] {
    const last = this.#stream.last;
    if (last === undefined) return [];
    const { file, line, column } = positionOf({ source: last.source, start: last.end, end: last.end });
    const here = positionOf(spanOf(token));
    if (file === here.file && line === here.line) return [];
    return [`what comes before ends at ${file}:${line}:${column}`];
  }

  #expect(kind: number, help?: string): Token {
    const token = this.#stream.accept(kind);
    if (token === undefined) throw this.#syntaxError(help);
    return token;
  }

  #headers(): void {
    const flags: { plugin: boolean; first: Token }[] = [];
    let last: Token;
    do {
      const first = this.#expect(Kind.V1, 'device tree source begins with /dts-v1/;');
      last = this.#expect(SEMICOLON);
      const plugin = this.#stream.accept(Kind.PLUGIN) !== undefined;
      if (plugin) last = this.#expect(SEMICOLON);
      flags.push({ plugin, first });
    } while (this.#stream.peek().kind === Kind.V1);
    for (let i = flags.length - 2; i >= 0; i--) {
      if (flags[i]!.plugin !== flags[i + 1]!.plugin) {
        const span = spanBetween(flags[i + 1]!.first, last);
        this.#lexer.error('DTS-HEADER', "Header flags don't match earlier ones", span);
      }
    }
    this.#plugin = flags[0]!.plugin;
  }

  #integer(): bigint {
    const parsed = parse(this.#values.integer, this.#stream);
    if (parsed === undefined) throw this.#syntaxError();
    return parsed.result.value;
  }

  #reservations(): void {
    for (;;) {
      const label = this.#stream.accept(Kind.LABEL);
      if (label !== undefined) {
        this.#memreserveLabels.push(label.text);
        const next = this.#stream.peek().kind;
        if (next === Kind.LABEL || next === Kind.MEMRESERVE) continue;
        this.#stream.wanted(Kind.LABEL, Kind.MEMRESERVE);
        throw this.#syntaxError('the root node takes no label');
      }
      if (this.#stream.accept(Kind.MEMRESERVE) === undefined) return;
      const address = this.#integer();
      const size = this.#integer();
      this.#expect(SEMICOLON);
      this.#memreserve.push({ address, size });
    }
  }

  #tree(): LiveNode {
    const root = this.#firstPart();
    for (;;) {
      const token = this.#stream.peek();
      switch (token.kind) {
        case Kind.END:
          return root;
        case SLASH:
          this.#stream.take();
          mergeNodes(root, this.#nodeBody(''), this.#labels);
          break;
        case Kind.LABEL: {
          this.#stream.take();
          const ref = this.#reference();
          const body = this.#nodeBody('');
          const target = this.#target(root, ref);
          if (target !== undefined) {
            target.labels.add(token.text);
            this.#labels.add(token.text, target);
            mergeNodes(target, body, this.#labels);
          }
          break;
        }
        case Kind.LABEL_REF:
        case Kind.PATH_REF: {
          this.#stream.take();
          const body = this.#nodeBody('');
          const overlay = this.#plugin && token.kind === Kind.PATH_REF;
          const known = overlay ? undefined : nodeByRef(root, this.#labels, token.text);
          if (known !== undefined) mergeNodes(known, body, this.#labels);
          else if (this.#plugin) this.#addFragment(root, body, token);
          else this.#target(root, token);
          break;
        }
        case Kind.DELETE_NODE: {
          this.#stream.take();
          const ref = this.#reference();
          this.#expect(SEMICOLON);
          const target = this.#target(root, ref);
          if (target !== undefined) deleteNode(target);
          break;
        }
        case Kind.OMIT_IF_NO_REF: {
          this.#stream.take();
          const ref = this.#reference();
          this.#expect(SEMICOLON);
          const target = this.#target(root, ref);
          if (target !== undefined) target.omitIfUnused = true;
          break;
        }
        default:
          this.#stream.wanted(SLASH, Kind.LABEL_REF, Kind.PATH_REF, Kind.END);
          throw this.#syntaxError(this.#topLevelHelp(token));
      }
    }
  }

  #topLevelHelp(token: Token): string | undefined {
    if (token.kind === code('#'))
      return 'run the C preprocessor first: its directives are not part of the language';
    if (token.kind === Kind.DELETE_PROPERTY) return 'delete a property inside the body of its node';
    if (token.kind === Kind.MEMRESERVE) return '/memreserve/ stands before the first node';
    return undefined;
  }

  #firstPart(): LiveNode {
    if (this.#stream.accept(SLASH) !== undefined) {
      const root = this.#nodeBody('');
      indexLabels(root, this.#labels);
      return root;
    }
    const ref = this.#stream.accept(Kind.LABEL_REF) ?? this.#stream.accept(Kind.PATH_REF);
    if (ref === undefined) {
      this.#stream.wanted(Kind.MEMRESERVE);
      throw this.#syntaxError(this.#topLevelHelp(this.#stream.peek()));
    }
    const body = this.#nodeBody('');
    const root = new LiveNode('');
    if (!this.#plugin) {
      const span = body.spans[0] ?? spanOf(ref);
      this.#lexer.error('DTS-REFERENCE', `Label or path ${ref.text} not found`, span, 'begin with / { };');
    }
    this.#addFragment(root, body, ref);
    return root;
  }

  #reference(): Token {
    const ref = this.#stream.accept(Kind.LABEL_REF) ?? this.#stream.accept(Kind.PATH_REF);
    if (ref === undefined) throw this.#syntaxError();
    return ref;
  }

  #target(root: LiveNode, ref: Token): LiveNode | undefined {
    const target = nodeByRef(root, this.#labels, ref.text);
    if (target === undefined) {
      this.#lexer.error('DTS-REFERENCE', `Label or path ${ref.text} not found`, spanOf(ref));
    }
    return target;
  }

  /** An overlay's `&ref { }` becomes `fragment@N { target = <&ref>; __overlay__ { }; };`. */
  #addFragment(root: LiveNode, body: LiveNode, ref: Token): void {
    const fragment = new LiveNode(`fragment@${this.#fragments++}`);
    if (ref.text.startsWith('/')) {
      const path = new TextEncoder().encode(`${ref.text}\0`);
      fragment.addProperty(new LiveProperty('target-path', path, [], undefined, true));
    } else {
      const marker = { kind: 'phandle' as const, offset: 0, ref: ref.text, span: spanOf(ref) };
      const value = Uint8Array.of(0xff, 0xff, 0xff, 0xff);
      fragment.addProperty(new LiveProperty('target', value, [marker], undefined, true));
    }
    body.name = '__overlay__';
    fragment.addChild(body);
    root.addChild(fragment);
    indexLabels(fragment, this.#labels);
  }

  /** `{ properties subnodes };` */
  #nodeBody(name: string): LiveNode {
    const stream = this.#stream;
    const open: OpenNode[] = [this.#openNode(new LiveNode(name))];
    for (;;) {
      const top = open[open.length - 1]!;
      const labels: Token[] = [];
      let first: Token | undefined;
      let omit = false;
      for (;;) {
        const next = stream.accept(Kind.LABEL) ?? stream.accept(Kind.OMIT_IF_NO_REF);
        if (next === undefined) break;
        first ??= next;
        if (next.kind === Kind.LABEL) labels.push(next);
        else omit = true;
      }
      if (first === undefined && stream.accept(CLOSE_BRACE) !== undefined) {
        const last = this.#expect(SEMICOLON, 'a node ends with };');
        top.node.spans.push(spanBetween(top.brace, last));
        open.pop();
        const parent = open[open.length - 1];
        if (parent === undefined) return top.node;
        parent.node.addChild(top.node);
        continue;
      }
      if (!omit && stream.peek().kind === Kind.DELETE_PROPERTY) {
        const start = stream.take();
        const named = this.#expect(Kind.NAME);
        const last = this.#expect(SEMICOLON);
        const property = new LiveProperty(named.text, NO_BYTES, [], undefined, true);
        property.deleted = true;
        this.#addProperty(top, property, labels, first ?? start, last);
        continue;
      }
      const deletion = stream.accept(Kind.DELETE_NODE);
      if (deletion !== undefined) {
        const named = this.#expect(Kind.NAME);
        const last = this.#expect(SEMICOLON);
        const node = new LiveNode(named.text, spanBetween(deletion, last));
        node.deleted = true;
        this.#addLabels(node, labels);
        top.hasSubnodes = true;
        top.node.addChild(node);
        continue;
      }
      const named = this.#expect(Kind.NAME);
      if (!omit && stream.accept(SEMICOLON) !== undefined) {
        const property = new LiveProperty(named.text, NO_BYTES, [], undefined, true);
        this.#addProperty(top, property, labels, first ?? named, stream.last!, named);
        continue;
      }
      if (!omit && stream.accept(EQUALS) !== undefined) {
        const { builder, calculator } = this.#values;
        if (parse(this.#values.propertyValue, stream) === undefined) {
          calculator.reset();
          throw this.#syntaxError();
        }
        const { value, markers } = builder.finish();
        const last = this.#expect(SEMICOLON, 'a property ends with a semicolon');
        const property = new LiveProperty(named.text, value, markers, undefined, true);
        this.#addProperty(top, property, labels, first ?? named, last, named);
        continue;
      }
      top.hasSubnodes = true;
      const node = new LiveNode(named.text);
      node.omitIfUnused = omit;
      this.#addLabels(node, labels);
      open.push(this.#openNode(node));
      if (open.length > DEEPEST) {
        throw this.#lexer.fatal('DTS-DEPTH', `nodes are nested more than ${DEEPEST} deep`, spanOf(named));
      }
    }
  }

  #openNode(node: LiveNode): OpenNode {
    return { node, brace: this.#expect(OPEN_BRACE), hasSubnodes: false };
  }

  /** dtc adds the label nearest to the name first. */
  #addLabels(owner: LiveNode | LiveProperty, labels: readonly Token[]): void {
    for (let i = labels.length - 1; i >= 0; i--) owner.labels.add(labels[i]!.text);
  }

  #addProperty(
    top: OpenNode,
    property: LiveProperty,
    labels: readonly Token[],
    first: Token,
    last: Token,
    named: Token = first,
  ): void {
    if (top.hasSubnodes) {
      throw this.#lexer.fatal(
        'DTS-ORDER',
        'Properties must precede subnodes',
        spanBetween(first, last),
        `move '${property.name}' before the first subnode`,
      );
    }
    property.span = spanBetween(named, last);
    this.#addLabels(property, labels);
    top.node.addProperty(property);
  }
}

/** @throws InputError with all errors up to the first syntax error. */
export function parseSource(
  file: SourceFile,
  include: IncludeLoader | undefined,
  incbin: BinaryLoader | undefined,
): ParsedSource {
  return new DtsParser(file, include, incbin).parseFile();
}
