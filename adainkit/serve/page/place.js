// Where pictures are painted: at the service. (The page that paints in the browser has another file of this name, in
// runtimes/browser.)

export const LARGE = 12e6; // pixels: beyond, nothing waits for one answer, which a service gives within its time or not at all
export const FINEST = 1024; // the longest side of a preview

/** The answer to a request of /v1, a Response. */
export function ask(url, options) { return fetch(url, options); }

/** Width and height of a picture that is painted in full. */
export function finalSize(width, height) { return [width, height]; }
