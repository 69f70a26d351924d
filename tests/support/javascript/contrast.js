// Returns the texts that are too pale against what is behind them: WCAG 2.2, 1.4.3 (4.5:1, large text 3:1).
() => {
  const rgba = (text) => {
    const found = text.match(/rgba?\(([^)]+)\)/);
    if (found) { const [r, g, b, a = 1] = found[1].split(/[ ,/]+/).map(Number); return [r, g, b, a]; }
    const srgb = text.match(/color\(srgb ([^)]+)\)/);  // what color-mix() computes to
    if (srgb) { const [r, g, b, a = 1] = srgb[1].split(/[ /]+/).map(Number); return [r * 255, g * 255, b * 255, a]; }
    throw new Error(`a colour in a form that is not known: ${text}`);
  };
  const over = ([r, g, b, a], [R, G, B]) => [r * a + R * (1 - a), g * a + G * (1 - a), b * a + B * (1 - a)];
  const luminance = (colour) => {
    const [r, g, b] = colour.map((each) => each / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    const layers = [];
    for (let each = element; each; each = each.parentElement) {
      const layer = rgba(getComputedStyle(each).backgroundColor);
      layers.push(layer);
      if (layer[3] === 1) break;
    }
    return layers.reverse().reduce((base, layer) => over(layer, base), [255, 255, 255]);
  };
  const pale = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent.trim();
    const element = walker.currentNode.parentElement;
    if (!text || !element.checkVisibility({ checkOpacity: true, checkVisibilityCSS: true })) continue;
    if (element.closest('[disabled], .disabled, .us-stale, [aria-hidden=true], i, script, style, canvas')) continue;
    const style = getComputedStyle(element);
    const box = element.getBoundingClientRect();
    if (!box.width || box.right < 0 || box.bottom < 0) continue;
    const ground = behind(element);
    const [one, two] = [luminance(over(rgba(style.color), ground)), luminance(ground)];
    const ratio = (Math.max(one, two) + 0.05) / (Math.min(one, two) + 0.05);
    const size = parseFloat(style.fontSize);
    const isLarge = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    if (ratio < (isLarge ? 3 : 4.5)) pale.push(`${ratio.toFixed(2)} ${text.slice(0, 60)}`);
  }
  return pale;
}
