// Loaded into the peer by scripts/compare_peer: answers its questions to Google Fonts from a folder, so that it has the
// fonts that it would have with a network. FLEETRENDER_PEER_FONTS holds faces.json and the files that it names.
const fs = require("node:fs");
const path = require("node:path");

const folder = process.env.FLEETRENDER_PEER_FONTS;
const FILES = "https://fonts.gstatic.com/compare_peer/";
const real = globalThis.fetch;

const sheet = (address) => {
  const family = (address.searchParams.get("family") ?? "").split(":")[0].toLowerCase();
  const faces = JSON.parse(fs.readFileSync(path.join(folder, "faces.json"), "utf8"))[family] ?? [];
  return faces
    .map(({ name, weight, style, letters, file }) => {
      const range = letters ? `\n  unicode-range: ${letters};` : "";
      const source = `url(${FILES}${file}) format('woff2')`;
      return `@font-face {\n  font-family: '${name}';\n  font-style: ${style};\n  font-weight: ${weight};\n  src: ${source};${range}\n}`;
    })
    .join("\n");
};

globalThis.fetch = async (input, options) => {
  const address = new URL(typeof input === "string" || input instanceof URL ? input : input.url);
  if (address.href.startsWith(FILES)) {
    return new Response(fs.readFileSync(path.join(folder, path.basename(address.pathname))));
  }
  if (address.hostname !== "fonts.googleapis.com") return real(input, options);
  const text = sheet(address);
  return new Response(text, { status: text ? 200 : 400, headers: { "content-type": "text/css" } });
};
