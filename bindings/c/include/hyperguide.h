/*
 * hyperguide: guided enhancement of pictures, video and cameras.
 *
 *     hg_model *model = hg_model_open("denoise-live.onnx", NULL);
 *     if (!model)
 *         fail(hg_last_error());
 *     hg_session *session = hg_session_create(model, NULL);
 *     while (next(&frame))
 *         if (hg_session_run(session, &frame, NULL, &frame, NULL) != HG_OK)
 *             fail(hg_last_error());
 *     hg_session_destroy(session);
 *     hg_model_destroy(model);
 *
 * A model is loaded once and may be shared by any number of sessions and threads. A session holds
 * what is remembered of one stream of frames; it serves one thread at a time.
 *
 * Functions that return hg_status return HG_OK or what went wrong; those that return a pointer
 * return NULL then. hg_last_error() says it in a sentence. Every function accepts NULL handles.
 * After fork(), the child must not use models and sessions of its parent: engines have threads.
 */
#ifndef HYPERGUIDE_H
#define HYPERGUIDE_H

#include <stddef.h>
#include <stdint.h>

#define HG_EXPORT __attribute__((visibility("default")))

#ifdef __cplusplus
extern "C" {
#endif

/* Changes when a program must be compiled again. */
#define HG_ABI_VERSION 1

/* The HG_ABI_VERSION that the library was compiled with. */
HG_EXPORT int hg_abi_version(void);

/* The version of the library, such as "0.2.0". */
HG_EXPORT const char *hg_version(void);

typedef enum hg_status {
    HG_OK = 0,
    HG_BAD_ARGUMENT = 1,  /* NULL, or a picture or number that does not fit */
    HG_BAD_FILE = 2,      /* unreadable, no model of ours, damaged or changed since its export */
    HG_NO_BACKEND = 3,    /* no engine was found, or it does not run here */
    HG_FAILED = 4,        /* the engine failed */
    HG_OUT_OF_MEMORY = 5,
    HG_CANCELLED = 6,     /* by hg_session_cancel or a progress callback */
    HG_BUSY = 7           /* the session is in use by another thread */
} hg_status;

/* What went wrong in the last call of this thread that failed; never NULL. The text changes with
 * the next one. Calls that succeed leave it: look at what a call returns first. */
HG_EXPORT const char *hg_last_error(void);

/* The status of that call; HG_OK if none has failed in this thread. */
HG_EXPORT hg_status hg_last_status(void);

/* ---- Models ---------------------------------------------------------------------------------- */

typedef struct hg_model hg_model;

typedef enum hg_log_level { HG_LOG_INFO = 0, HG_LOG_WARNING = 1 } hg_log_level;

/* Called in the thread that loads a model, while it loads. */
typedef void (*hg_log_callback)(hg_log_level level, const char *message, void *user);

/* Called while a model is loaded, with the share that is done, in [0, 1]. Return 0 to go on;
 * anything else cancels. */
typedef int (*hg_progress_callback)(float share, void *user);

/* Initialise with {0} for the defaults. */
typedef struct hg_model_options {
    /* "openvino", "cpu" (ONNX Runtime), "cuda[:N]", "ort-tensorrt[:N]"; it is an error if that does
     * not run. NULL or "auto": OpenVINO if it is found, otherwise ONNX Runtime on the CPU. */
    const char *device;
    /* Path of libopenvino_c or libonnxruntime. NULL: HYPERGUIDE_OPENVINO or HYPERGUIDE_ONNXRUNTIME
     * in the environment, then the active Python environment, then the system. */
    const char *library;
    int threads; /* of one call; 0: one per core */
    hg_log_callback log;
    hg_progress_callback progress;
    void *user; /* passed to both; not used after loading */
} hg_model_options;

/* Load a model file. options may be NULL. The caller owns the model. */
HG_EXPORT hg_model *hg_model_open(const char *path, const hg_model_options *options);

/* The same from memory, which may be freed afterwards. */
HG_EXPORT hg_model *hg_model_from_memory(const void *data, size_t size,
                                         const hg_model_options *options);

/* Give the model up. Its sessions stay valid. */
HG_EXPORT void hg_model_destroy(hg_model *model);

/* What a model is. Strings live as long as the model or one of its sessions. */
typedef struct hg_model_info {
    const char *task; /* "denoise", "deblur", "derain", "dehaze" */
    const char *tier;
    const char *precision; /* "fp32", "fp16", "int8" */
    const char *engine;    /* the library that runs it, and its version */
    int channels;          /* of the network: 3, or 1 for gray pictures only */
    int takes_kernel;      /* whether it deblurs */
    const char *guidance;  /* what the map shows: "noise_level", "scene_depth", ... */
    const char *unit;      /* of its values */
    float minimum, maximum; /* range of its values */
    float smoothing;        /* default of hg_session_set_smoothing */
} hg_model_info;

HG_EXPORT hg_status hg_model_get_info(const hg_model *model, hg_model_info *info);

/* ---- Pictures -------------------------------------------------------------------------------- */

typedef enum hg_format {
    HG_RGB24 = 1, /* 8 bits, interleaved */
    HG_BGR24,
    HG_RGBA,   /* alpha is copied, or 255 if the input has none */
    HG_GRAY8,  /* made from colour as the mean of R, G and B */
    HG_GRAY16, /* native byte order, full scale 65535 */
    HG_RGBF32, /* floats, interleaved, in [0, 1]; inputs may go from -1 to 2 */
    HG_NV12,   /* 8 bits; planes: Y, then U and V interleaved, at half the size */
    HG_I420,   /* 8 bits; planes: Y, U, V */
    HG_P010    /* as NV12 with 10 bits in the upper part of 16, little-endian */
} hg_format;

typedef enum hg_matrix { HG_BT709 = 0, HG_BT601, HG_BT2020 } hg_matrix; /* of YUV formats */
typedef enum hg_range { HG_LIMITED = 0, HG_FULL } hg_range;             /* of YUV formats */

/* A picture in the caller's memory. Initialise with {0}, then set what the format needs.
 *
 * Sides go up to 65536 and pictures up to 2^28 pixels; the chroma planes of odd sizes are rounded
 * up. Planes and strides of GRAY16 and P010 are aligned to 2 bytes, those of RGBF32 to 4. */
typedef struct hg_picture {
    hg_format format;
    int32_t width, height;
    void *planes[3];
    ptrdiff_t strides[3]; /* bytes from a row to the next, not negative; 0: rows follow each other */
    hg_matrix matrix;
    hg_range range;
} hg_picture;

/* A map in the caller's memory, one value for each pixel, aligned to 4 bytes. */
typedef struct hg_map {
    float *values;
    int32_t width, height;
    ptrdiff_t stride; /* bytes from a row to the next; 0: rows follow each other */
} hg_map;

/* ---- Sessions -------------------------------------------------------------------------------- */

typedef struct hg_session hg_session;

/* Initialise with {0} for the defaults. */
typedef struct hg_session_options {
    int no_temporal; /* frames of denoising models are not averaged where nothing moves */
} hg_session_options;

/* Start a stream. options may be NULL. The session keeps the model alive. */
HG_EXPORT hg_session *hg_session_create(hg_model *model, const hg_session_options *options);

/* Must not be called while the session runs. */
HG_EXPORT void hg_session_destroy(hg_session *session);

/* Enhance a picture, the next frame of the stream.
 *
 * in, out: of the same size; formats may differ. out may be in, but must not overlap it otherwise;
 *     pictures side by side in one buffer do not overlap. `in` is not written to.
 * guidance: a map to use instead of the predicted one, or NULL, with values from the model's minimum
 *     to its maximum. A map of another size is resized. If frames are averaged, it is the noise of
 *     this frame, and the network sees, and guidance_out receives, what the average has left of it.
 * guidance_out: receives the map that was used, or NULL; of the picture's size. At strength 0 there
 *     is no map, and it is left as it is.
 *
 * If the call fails or is cancelled, out is left as it is; a frame that was cancelled may already be
 * part of the average. */
HG_EXPORT hg_status hg_session_run(hg_session *session, const hg_picture *in, const hg_map *guidance,
                                   const hg_picture *out, const hg_map *guidance_out);

/* The next three may be called from any thread, and take effect on the next frame. */

/* Any number of at least 0. 0 copies the picture without running the network, 1 is the trained result (the default), in
 * between blends, above 1 exaggerates. */
HG_EXPORT hg_status hg_session_set_strength(hg_session *session, float strength);

/* Multiplies the map that the network sees; 1 by default. */
HG_EXPORT hg_status hg_session_set_guidance_scale(hg_session *session, float scale);

/* Weight of the last frame's map where nothing moves, in [0, 1). 0: maps are not smoothed. */
HG_EXPORT hg_status hg_session_set_smoothing(hg_session *session, float weight);

/* The next two return HG_BUSY while the session runs in another thread. */

/* The kernel of the blur, for models that deblur: rows x columns values, NULL for none. Sides are odd,
 * at most 255, and no larger than the picture; the sum is 1 within a thousandth. It is copied. */
HG_EXPORT hg_status hg_session_set_kernel(hg_session *session, const float *values, int32_t rows,
                                          int32_t columns);

/* Forget the frames so far, as before another scene. */
HG_EXPORT hg_status hg_session_reset(hg_session *session);

/* Stop the call that is running in another thread, which returns HG_CANCELLED. Without one, nothing
 * happens: who starts and stops threads calls it until they have ended. */
HG_EXPORT void hg_session_cancel(hg_session *session);

#ifdef __cplusplus
}
#endif

#endif
