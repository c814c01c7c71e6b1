/* Turn every <figure data-chart="KIND"> into a drawn chart; what each kind looks like, and the
   shape of its data, is in chart-kinds.js. The figure holds its data as a JSON block, or names an
   endpoint in data-url, and a .chart-canvas to draw in. The ECharts file is fetched only when the
   first chart comes near the screen. Colours come from the theme and change with it. */
(() => {
  "use strict";
  const libraryUrl = document.currentScript.dataset.echartsSrc;
  const kinds = window.evenkeelChartKinds;
  const stillness = window.matchMedia("(prefers-reduced-motion: reduce)");
  const narrowWidth = 440; // pixels; below this a chart is laid out for a phone
  const drawn = new Map(); // figure → {chart, data, canvas}
  let library = null;

  const loadLibrary = () => {
    library ??= new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = libraryUrl;
      script.onload = () => resolve(window.echarts);
      script.onerror = () => {
        library = null; // so that the next chart tries again
        reject(new Error("the chart library could not be loaded"));
      };
      document.head.append(script);
    });
    return library;
  };

  const readTheme = () => {
    const style = window.getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(`--ek-${name}`).trim();
    return {
      colour,
      font: window.getComputedStyle(document.body).fontFamily,
      series: [1, 2, 3, 4, 5, 6, 7, 8].map((number) => colour(`series-${number}`)),
    };
  };

  const common = (theme) => ({
    animation: !stillness.matches,
    animationDuration: 350,
    animationDurationUpdate: 200,
    color: theme.series,
    textStyle: { fontFamily: theme.font, fontSize: 12, color: theme.colour("muted") },
    tooltip: {
      // Text on the canvas: an HTML tooltip would need the inline styles that our policy forbids.
      renderMode: "richText",
      confine: true,
      backgroundColor: theme.colour("raised"),
      borderColor: theme.colour("line-strong"),
      borderWidth: 1,
      padding: [8, 12],
      textStyle: { color: theme.colour("ink"), fontSize: 12, lineHeight: 18 },
    },
  });

  const draw = (entry) => {
    const theme = readTheme();
    const width = entry.canvas.clientWidth;
    entry.isNarrow = width < narrowWidth;
    const view = { width, isNarrow: entry.isNarrow };
    const { height, extraHeight, ...option } = kinds[entry.kind](entry.data, theme, view);
    entry.canvas.style.height = ""; // the style sheet's own, to start from
    if (height || extraHeight) {
      entry.canvas.style.height = `${height || entry.canvas.clientHeight + extraHeight}px`;
    }
    const base = common(theme);
    entry.chart.resize();
    entry.chart.setOption(
      { ...base, ...option, tooltip: { ...base.tooltip, ...option.tooltip } },
      { notMerge: true },
    );
  };

  const readData = async (figure) => {
    if (!figure.dataset.url) {
      return JSON.parse(figure.querySelector('script[type="application/json"]').textContent);
    }
    const answer = await fetch(figure.dataset.url, {
      headers: { Accept: "application/json" },
      credentials: "same-origin",
    });
    if (!answer.ok) throw new Error(`the chart's data answered ${answer.status}`);
    return answer.json();
  };

  const showProblem = (canvas) => {
    const words = document.createElement("p");
    words.className = "chart-problem";
    words.textContent = "This chart could not be drawn.";
    canvas.replaceChildren(words);
    // With nothing to see, the table is the chart.
    const details = canvas.closest("figure").querySelector("details");
    if (details) details.open = true;
  };

  const resizes = new ResizeObserver((changes) => {
    for (const { target } of changes) {
      const entry = drawn.get(target.closest("figure"));
      if (!entry) continue;
      if (entry.isNarrow === target.clientWidth < narrowWidth) entry.chart.resize();
      else draw(entry);
    }
  });

  const start = async (figure) => {
    const canvas = figure.querySelector(".chart-canvas");
    const kind = figure.dataset.chart;
    try {
      const [echarts, data] = await Promise.all([loadLibrary(), readData(figure)]);
      if (!figure.isConnected) return;
      const chart = echarts.init(canvas, null, { renderer: "canvas" });
      const entry = { chart, data, canvas, kind };
      drawn.set(figure, entry);
      draw(entry);
      resizes.observe(canvas);
      figure.dataset.drawn = "";
    } catch (problem) {
      drawn.delete(figure);
      showProblem(canvas);
      window.console.error(`Chart "${kind}":`, problem);
    }
  };

  const near = new IntersectionObserver(
    (changes) => {
      for (const { isIntersecting, target } of changes) {
        if (!isIntersecting) continue;
        near.unobserve(target);
        start(target);
      }
    },
    { rootMargin: "300px" },
  );

  const prepare = (root) => {
    const figures = [...root.querySelectorAll("figure[data-chart]")];
    if (root.matches?.("figure[data-chart]")) figures.push(root);
    for (const figure of figures) if (!drawn.has(figure)) near.observe(figure);
    for (const [figure, entry] of drawn) {
      if (figure.isConnected) continue;
      resizes.unobserve(entry.canvas);
      entry.chart.dispose();
      drawn.delete(figure);
    }
  };

  prepare(document);
  document.addEventListener("htmx:afterSettle", ({ target }) => prepare(target));
  const redrawAll = () => drawn.forEach(draw);
  document.addEventListener("evenkeel:theme", redrawAll);
  stillness.addEventListener("change", redrawAll);
})();
