// A browser is looked for, and only then installed, by scripts/lib/browsers.mjs. Without this line a
// failed browser download would fail the whole `npm install`.
module.exports = { skipDownload: true };
