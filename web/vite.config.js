import { defineConfig } from "vite";

export default defineConfig({
  base: "./",
  build: {
    outDir: "dist",
    emptyOutDir: true,
    // The gateway's Content-Security-Policy allows no data: fonts or scripts; keep every asset a file.
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 1000,
    rollupOptions: { input: ["index.html", "widget.html"] },
  },
});
