/* Enhances a picture (PPM) or a video (y4m, 8 bits, 4:2:0).
 *
 *     enhance_file denoise-live.onnx in.y4m out.y4m [STRENGTH]
 */
#include <hyperguide.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int fail(const char *sentence) {
    fprintf(stderr, "%s\n", sentence);
    return 1;
}

/* Whether a chroma tag of y4m is one of 4:2:0 with 8 bits, whose samples lie here or there. */
static int is_known(const char *tag) {
    const char *known[] = {"420", "420jpeg", "420mpeg2", "420paldv"};
    for (int i = 0; i < 4; i++)
        if (strcspn(tag, " \n") == strlen(known[i]) && !strncmp(tag, known[i], strlen(known[i])))
            return 1;
    return 0;
}

/* Reads "P6 WIDTH HEIGHT 255" or a header of y4m; returns the bytes of a frame, or 0. */
static size_t read_header(FILE *in, hg_picture *picture, char *line, int size) {
    int most;
    if (!fgets(line, size, in))
        return 0;
    if (strncmp(line, "P6", 2) == 0) {
        if (fscanf(in, "%d %d %d", &picture->width, &picture->height, &most) != 3 || most != 255)
            return 0;
        fgetc(in); /* the blank before the pixels */
        picture->format = HG_RGB24;
    } else {
        const char *width = strstr(line, " W"), *height = strstr(line, " H");
        const char *chroma = strstr(line, " C");
        if (strncmp(line, "YUV4MPEG2", 9) || !width || !height || (chroma && !is_known(chroma + 2)))
            return 0;
        picture->width = atoi(width + 2);
        picture->height = atoi(height + 2);
        picture->format = HG_I420;
        picture->matrix = picture->height < 720 ? HG_BT601 : HG_BT709;
    }
    if (picture->width < 1 || picture->height < 1 || picture->width > 16384 ||
        picture->height > 16384)
        return 0;
    size_t pixels = (size_t)picture->width * picture->height;
    size_t chroma = (size_t)((picture->width + 1) / 2) * ((picture->height + 1) / 2);
    return picture->format == HG_RGB24 ? 3 * pixels : pixels + 2 * chroma;
}

int main(int count, char **arguments) {
    if (count < 4)
        return fail("enhance_file MODEL.onnx IN OUT [STRENGTH]");
    hg_picture picture = {0};
    char header[512], frame[512];
    FILE *in = fopen(arguments[2], "rb"), *out = in ? fopen(arguments[3], "wb") : NULL;
    if (!in || !out)
        return fail("IN cannot be read, or OUT cannot be written.");
    size_t size = read_header(in, &picture, header, sizeof header);
    if (!size)
        return fail("IN must be a PPM (P6, 255) or a y4m (4:2:0, 8 bits).");
    int is_video = picture.format == HG_I420;
    unsigned char *pixels = malloc(size);
    if (!pixels)
        return fail("There is not enough memory.");
    hg_model *model = hg_model_open(arguments[1], NULL);
    if (!model)
        return fail(hg_last_error());
    hg_session *session = hg_session_create(model, NULL);
    if (!session)
        return fail(hg_last_error());
    if (count > 4 && hg_session_set_strength(session, (float)atof(arguments[4])) != HG_OK)
        return fail(hg_last_error());

    size_t luma = (size_t)picture.width * picture.height;
    size_t chroma = (size_t)((picture.width + 1) / 2) * ((picture.height + 1) / 2);
    picture.planes[0] = pixels;
    if (is_video) {
        picture.planes[1] = pixels + luma;
        picture.planes[2] = pixels + luma + chroma;
        fputs(header, out);
    } else {
        fprintf(out, "P6\n%d %d\n255\n", picture.width, picture.height);
    }
    long frames = 0;
    for (; is_video ? fgets(frame, sizeof frame, in) != NULL : frames == 0; frames++) {
        if (fread(pixels, 1, size, in) != size)
            return fail("IN ends in the middle of a frame.");
        if (hg_session_run(session, &picture, NULL, &picture, NULL) != HG_OK)
            return fail(hg_last_error());
        if (is_video)
            fputs("FRAME\n", out);
        if (fwrite(pixels, 1, size, out) != size)
            return fail("OUT cannot be written.");
    }
    if (!frames)
        return fail("IN has no frames.");
    hg_session_destroy(session);
    hg_model_destroy(model);
    free(pixels);
    fclose(in);
    return fclose(out) == 0 ? 0 : fail("OUT cannot be written.");
}
