// RGB from the rows of a YUV picture, one after the other.
#pragma once

#include "floats.hpp"
#include "picture.hpp"

namespace hyperguide {

// Shares of red, green and blue in luma, for a matrix (ITU-T H.273, table 4).
struct LumaWeights {
    float red, green, blue;
};
LumaWeights luma_weights(hg_matrix matrix);

// Reads rows from top to bottom. Rows of chroma are kept while they are needed, so what was read
// may be overwritten before the next row is read.
//
// Chroma is interpolated linearly, its values taken to lie in the middle of their block, as in the
// Python runtime.
class YuvReader {
  public:
    explicit YuvReader(const View &picture);

    // Gives row y, limited to [0, 1].
    void read_rgb(int y, float *red, float *green, float *blue);
    // The same of luma alone.
    void read_gray(int y, float *gray);

    // Levels of luma of the last row read, not limited.
    const float *luma() const { return last_luma.data(); }

    struct Chroma {
        const float *u, *v;
    };
    // Levels of the row of chroma that belongs to the last row read.
    Chroma chroma(int row);

  private:
    struct Slot {
        int row = -1;
        Floats u, v;  // with a repeated value at both ends
    };
    const Slot &slot(int row);

    const View picture;
    const int chroma_width, chroma_height;
    Slot slots[2];  // that of the row itself, and of the one above or below
    Floats last_luma, blended, u, v;
};

}  // namespace hyperguide
