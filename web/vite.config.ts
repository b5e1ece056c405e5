import { readdirSync, rmSync } from "node:fs";
import { defineConfig, type Plugin } from "vite";

const server = process.env.TERTULIA_URL ?? "http://127.0.0.1:8765";
const password = process.env.TERTULIA_DEV_PASSWORD ?? "tertulia";

/** Vite's own emptying would take dist/.gitignore too, which keeps the folder in the repository. */
function emptyDist(): Plugin {
  return {
    name: "empty-dist",
    apply: "build",
    buildStart() {
      const kept = (name: string) => name === ".gitignore";
      const names = readdirSync("dist").filter((name) => !kept(name));
      for (const name of names) rmSync(`dist/${name}`, { recursive: true });
    },
  };
}

/** `npm run dev` has no Tertulia in front of it that would write the facts into the page. */
function factsForDev(): Plugin {
  return {
    name: "facts-for-dev",
    apply: "serve",
    transformIndexHtml: (html) =>
      html.replace('{"tertulia":null}', JSON.stringify({ tertulia: { dev: true, password } })),
  };
}

export default defineConfig({
  base: "/demo/",
  plugins: [emptyDist(), factsForDev()],
  build: {
    target: "es2022",
    outDir: "dist",
    emptyOutDir: false,
    chunkSizeWarningLimit: 1000,
    // The binary carries what others wrote: their licences go with it.
    license: { fileName: "licenses.md" },
    rolldownOptions: {
      input: "demo.html",
      output: {
        // The SDK changes rarely, the page often.
        codeSplitting: { groups: [{ name: "sdk", test: /node_modules/ }] },
      },
    },
  },
  server: {
    proxy: {
      "/token": server,
      "/v3/wsconnect": { target: server, ws: true },
    },
  },
});
