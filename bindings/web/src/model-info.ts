/** What a model file says about itself. */

import { HyperguideError } from "./errors.js";

/** What the values of a guidance map mean. */
export interface Guidance {
  /** The quantity, such as `noise_level`. */
  readonly name: string;
  readonly unit: string;
  readonly minimum: number;
  readonly maximum: number;
  /** Default weight of the last frame's map in a stream, in [0, 1). */
  readonly smoothing: number;
  /** The effect of another guidance scale. */
  readonly scaleMeaning: string;
}

export interface ModelInfo {
  readonly task: "denoise" | "deblur" | "derain" | "dehaze";
  readonly tier: string;
  /** Planes that the network takes. */
  readonly color: "rgb" | "gray";
  readonly precision: "fp32" | "fp16" | "int8";
  readonly guidance: Guidance;
  /** Whether the predicted map depends on the whole picture. */
  readonly context: "local" | "global";
  /** Whether the result does too, even if the map is given. */
  readonly wholePicture: boolean;
  /** Height and width are padded to multiples of it. */
  readonly sizeMultiple: number;
  /** How many pixels away an output pixel sees. */
  readonly receptiveField: number;
  /** Pixels by which tiles must overlap so that no seam shows. */
  readonly overlap: number;
  /** Of the largest tensors that live at once. */
  readonly bytesPerPixel: number;
  /** Whether it deblurs, and takes a kernel. */
  readonly takesKernel: boolean;
}

const PREFIX = "hyperguide.";
const FORMAT = "1";
const LARGEST_MULTIPLE = 256;
const LARGEST_FIELD = 65536;
const LONGEST_WORD = 64;
/** For files that do not state their memory for each pixel. */
const USUAL_BYTES = 1000;

/** The description of a model. Throws HyperguideError if it is missing or unusable. */
export function readInfo(
  metadata: ReadonlyMap<string, string>,
  where: string,
  takesKernel: boolean,
): ModelInfo {
  const format = metadata.get(PREFIX + "format");
  if (format === undefined) {
    throw new HyperguideError(
      `${where} is an ONNX file but not one of ours: make one with 'hyperguide export'.`,
    );
  }
  if (format !== FORMAT) {
    throw new HyperguideError(
      `${where} has another format than this version reads: use the version of hyperguide that ` +
        "exported it.",
    );
  }
  const entries = new Entries(metadata, where);
  if (entries.word("io", ["float", "uint8"]) === "uint8") {
    throw new HyperguideError(`${where} takes bytes: use a file exported with --io float.`);
  }
  const sizeMultiple = entries.whole("size_multiple", 1, LARGEST_MULTIPLE);
  const receptiveField = entries.whole("receptive_field", 0, LARGEST_FIELD);
  const overlap = entries.has("overlap")
    ? entries.whole("overlap", 0, receptiveField)
    : receptiveField;
  return {
    task: entries.word("task", ["denoise", "deblur", "derain", "dehaze"]),
    tier: entries.word("tier"),
    color: entries.word("color", ["rgb", "gray"]),
    precision: entries.word("precision", ["fp32", "fp16", "int8"]),
    guidance: entries.guidance(),
    context: entries.word("context", ["local", "global"]),
    wholePicture: entries.has("whole_picture") && entries.json("whole_picture") === true,
    sizeMultiple,
    receptiveField,
    overlap,
    bytesPerPixel: entries.bytesPerPixel(),
    takesKernel,
  };
}

class Entries {
  constructor(
    private readonly metadata: ReadonlyMap<string, string>,
    private readonly where: string,
  ) {}

  has(name: string): boolean {
    const text = this.metadata.get(PREFIX + name);
    return text !== undefined && text !== "null";
  }

  word(name: string): string;
  word<Word extends string>(name: string, known: readonly Word[]): Word;
  word(name: string, known?: readonly string[]): string {
    const text = this.text(name);
    if (known === undefined ? !isLine(text) : !known.includes(text)) this.refuse(name);
    return text;
  }

  json(name: string): unknown {
    const text = this.text(name);
    try {
      return text.length <= LARGEST_FIELD ? (JSON.parse(text) as unknown) : this.refuse(name);
    } catch {
      return this.refuse(name);
    }
  }

  whole(name: string, least: number, most: number): number {
    const value = this.json(name);
    if (typeof value !== "number" || !Number.isInteger(value) || value < least || value > most) {
      return this.refuse(name);
    }
    return value;
  }

  bytesPerPixel(): number {
    const cost = this.has("cost") ? this.json("cost") : {};
    const bytes = (cost as Record<string, unknown> | null)?.["bytes_per_pixel"] ?? USUAL_BYTES;
    return typeof bytes === "number" && bytes > 0 && bytes <= 1e9 ? bytes : this.refuse("cost");
  }

  guidance(): Guidance {
    const value = this.json("guidance");
    if (typeof value !== "object" || value === null) return this.refuse("guidance");
    const of = value as Record<string, unknown>;
    const word = (name: string): string => {
      const found = of[name];
      return isLine(found) ? found : this.refuse(`guidance.${name}`);
    };
    const number = (name: string): number => {
      const found = of[name];
      return typeof found === "number" ? found : this.refuse(`guidance.${name}`);
    };
    const guidance = {
      name: word("name"),
      unit: word("unit"),
      minimum: number("minimum"),
      maximum: number("maximum"),
      smoothing: number("smoothing"),
      scaleMeaning: word("scale_meaning"),
    };
    const { minimum, maximum, smoothing } = guidance;
    if (!(minimum < maximum && smoothing >= 0 && smoothing < 1)) this.refuse("guidance");
    return guidance;
  }

  private text(name: string): string {
    return this.metadata.get(PREFIX + name) ?? this.refuse(name);
  }

  private refuse(name: string): never {
    throw new HyperguideError(
      `The metadata of ${this.where} is damaged (${name} is missing or unknown): export or ` +
        "download it again.",
    );
  }
}

function isLine(value: unknown): value is string {
  return (
    typeof value === "string" &&
    value.length > 0 &&
    value.length <= 4 * LONGEST_WORD &&
     
    !/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/.test(value)
  );
}
