import tseslint from "typescript-eslint";

const SOURCES = ["src/**/*.ts", "page/**/*.ts"];

export default tseslint.config(
  { ignores: ["dist", "build", "node_modules"] },
  ...tseslint.configs.strictTypeChecked.map((config) => ({ ...config, files: SOURCES })),
  {
    files: SOURCES,
    languageOptions: { parserOptions: { projectService: true } },
    rules: {
      // Numbers are written as they are.
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
    },
  },
);
