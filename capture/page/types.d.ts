// For editors and `tsc --checkJs` only; nothing here is loaded by a page.

/** One animation library. `find` is cheap and false when the library is absent; what `seek` throws fails the frame. */
interface Adapter {
  name: string;
  find(): boolean;
  seek(timeS: number, quiet: boolean): void;
  ready(): unknown;
  /** Moves what runs by itself to a time, before anything else of that seek. */
  advance?(timeS: number): void;
  /** Animation frames that the library itself keeps requested. */
  loops?: number;
  /** When the last of its animations ends, in seconds of the film; 0 when none does. */
  length?(): number;
}

/** What the files of this folder share; invisible to the page. */
declare const fleet: Record<string, any> & { adapters: Adapter[] };

interface Window {
  [name: string]: any;
}
