// Pair matrices to walk through, drawn from the data beside them. Uses page.js.

const ABSENT = 255;
const NO_Q = 65535;
const STATUS = 65000; // and above: not measured, or not tested and why
const MARK = "#d55e00";

const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer;
const digits = (value) =>
  Math.abs(value) >= 100 ? counted(Math.round(value)) : String(Number(value.toPrecision(3)));

function matrix(figure) {
  const data = JSON.parse(figure.querySelector("script").textContent);
  const n = data.names.length;
  const layers = data.layers.map((layer) => ({
    ...layer,
    statistic: new Float32Array(bytes(layer.statistic)),
    q: new Uint16Array(bytes(layer.q)),
    colour: new Uint8Array(bytes(layer.colour)),
  }));
  const canvas = figure.querySelector("canvas");
  const said = figure.querySelector("output");
  const find = figure.querySelector("input");
  const [ordered, above, below] = figure.querySelectorAll("select");
  const beside = figure.querySelector(".partners");
  const scroll = canvas.parentElement;
  const hint = said.textContent;
  const squares = part("canvas", { width: n, height: n });
  let order = data.orders[0].places;
  let at = null; // row and column of the square that is read out
  let marked = -1; // the perturbation whose row and column stand out
  let side = 1;
  let margin = 0;

  const layer = (row, column) => layers[Number((row < column ? above : below)?.value ?? 0)];
  const place = (one, two) => {
    const [low, high] = one < two ? [one, two] : [two, one];
    return (low * (2 * n - low - 1)) / 2 + high - low - 1;
  };
  const palette = Array.from({ length: ABSENT + 1 }, (_, code) => {
    if (code === ABSENT) return data.absent;
    const spot = (code / (ABSENT - 1)) * (data.ramp.length - 1);
    const low = Math.min(Math.floor(spot), data.ramp.length - 2);
    return data.ramp[low].map((v, k) => Math.round(v + (spot - low) * (data.ramp[low + 1][k] - v)));
  });

  const figures = (from, one, two) => {
    const k = place(one, two);
    const q = from.q[k];
    if (Number.isNaN(from.statistic[k])) return data.reasons[q - STATUS];
    const text = `${from.symbol} ${digits(from.statistic[k])}`;
    return q === NO_Q ? text : `${text}, q ${Number((10 ** (-q / 100)).toPrecision(1))}`;
  };
  const called = (k) => data.names[k] + (data.groups.length ? ` (${data.groups[k] || "no pathway"})` : "");
  const read = (row, column) => {
    const [one, two] = [order[row], order[column]].sort((a, b) => a - b);
    if (one === two) return called(one);
    return `${called(one)} + ${called(two)}: ${figures(layer(row, column), one, two)}`;
  };

  function paint() {
    const image = new ImageData(n, n);
    for (let row = 0; row < n; row += 1) {
      for (let column = 0; column < n; column += 1) {
        const here = 4 * (row * n + column);
        const rgb = row === column ? [255, 255, 255]
          : palette[layer(row, column).colour[place(order[row], order[column])]];
        image.data.set(rgb, here);
        image.data[here + 3] = 255;
      }
    }
    squares.getContext("2d").putImageData(image, 0, 0);
    legends();
    draw();
  }

  function draw() {
    const context = canvas.getContext("2d");
    const width = scroll.clientWidth - 2;
    const bar = data.groups.length ? 8 : 0;
    const font = (size) => `${size}px system-ui, "DejaVu Sans", sans-serif`;
    context.font = font(11);
    const longest = Math.min(110, Math.max(...data.names.map((name) => context.measureText(name).width)));
    margin = Math.ceil(longest) + bar + 6;
    side = Math.min(18, Math.floor((width - margin) / n));
    const named = side >= 9;
    if (!named) {
      margin = bar;
      side = Math.max(2, Math.min(18, Math.floor((width - margin) / n)));
    }
    const whole = margin + n * side;
    const scale = window.devicePixelRatio || 1;
    canvas.width = Math.round(whole * scale);
    canvas.height = canvas.width;
    canvas.style.width = canvas.style.height = `${whole}px`;
    context.scale(scale, scale);
    context.fillStyle = "#fff";
    context.fillRect(0, 0, whole, whole);
    context.imageSmoothingEnabled = false;
    context.drawImage(squares, margin, margin, n * side, n * side);
    order.forEach((k, row) => {
      const from = margin + row * side;
      if (bar) {
        context.fillStyle = data.colours[data.groups[k]] ?? "#fff";
        context.fillRect(margin - bar, from, bar - 2, side);
        context.fillRect(from, margin - bar, side, bar - 2);
      }
      if (!named) return;
      context.fillStyle = k === marked ? MARK : "#333";
      context.font = `${k === marked ? "bold " : ""}${font(Math.min(11, side))}`;
      context.textBaseline = "middle";
      context.textAlign = "right";
      context.fillText(data.names[k], margin - bar - 3, from + side / 2, margin - bar - 3);
      context.save();
      context.translate(from + side / 2, margin - bar - 3);
      context.rotate(-Math.PI / 2);
      context.textAlign = "left";
      context.fillText(data.names[k], 0, 0, margin - bar - 3);
      context.restore();
    });
    context.strokeStyle = MARK;
    context.lineWidth = 2;
    if (marked >= 0) {
      const from = margin + order.indexOf(marked) * side;
      context.strokeRect(margin, from, n * side, side);
      context.strokeRect(from, margin, side, n * side);
    }
    if (at) {
      context.strokeStyle = "#000";
      context.strokeRect(margin + at[1] * side, margin + at[0] * side, side, side);
    }
  }

  function legends() {
    const box = figure.querySelector(".legends");
    const used = new Set([layer(0, 1), layer(1, 0)]);
    const shades = data.ramp.map((rgb) => `rgb(${rgb})`).join(",");
    box.replaceChildren(...[...used].map((one) => {
      const bar = part("span", { className: "bar" });
      bar.style.background = `linear-gradient(to right,${shades})`;
      const where = used.size < 2 ? "" : one === layer(0, 1) ? ", above" : ", below";
      const ends = ` to ≥ ${digits(one.full)}: ${one.size} (${one.test}${where})`;
      return part("span", {}, "0 ", bar, ends);
    }));
    const bar = part("span", { className: "bar absent" });
    bar.style.background = `rgb(${data.absent})`;
    box.append(part("span", {}, bar, " not measured or not tested"));
  }

  function look(row, column) {
    at = [row, column].map((v) => Math.max(0, Math.min(n - 1, v)));
    said.textContent = read(...at);
    draw();
  }

  function mark(k, text = "") {
    marked = k;
    at = null;
    beside.replaceChildren();
    said.textContent = text || hint;
    if (k >= 0) {
      said.textContent = `${called(k)}: its row and column are outlined`;
      partners(k);
    }
    draw();
  }

  function partners(k) {
    const from = layer(0, 1);
    const weight = (two) => {
      const value = from.statistic[place(k, two)];
      return from.signed ? Math.abs(value) : value;
    };
    const others = order.filter((two) => two !== k && !Number.isNaN(weight(two)));
    others.sort((one, two) => weight(two) - weight(one));
    const rows = others.slice(0, 10).map((two) =>
      part("tr", {}, part("td", { textContent: called(two) }), part("td", { textContent: figures(from, k, two) })));
    const head = ["partner", from.test].map((text) => part("th", { textContent: text, scope: "col" }));
    const caption = `Strongest partners of ${data.names[k]} by ${from.test}, of ${counted(others.length)} shown`;
    beside.append(part("table", {}, part("caption", { textContent: caption }),
      part("thead", {}, part("tr", {}, ...head)), part("tbody", {}, ...rows)));
  }

  function search() {
    const wanted = find.value.trim().toLowerCase();
    if (!wanted) return mark(-1);
    const lower = data.names.map((name) => name.toLowerCase());
    const begun = lower.flatMap((name, k) => (name.startsWith(wanted) ? [k] : []));
    const exact = lower.indexOf(wanted);
    if (exact >= 0 || begun.length === 1) return mark(exact >= 0 ? exact : begun[0]);
    const shown = begun.length ? `${begun.length} names begin so` : `not among the ${counted(n)} shown`;
    return mark(-1, `${find.value.trim()}: ${shown}`);
  }

  canvas.addEventListener("pointermove", (event) => {
    const [column, row] = [event.offsetX, event.offsetY].map((v) => Math.floor((v - margin) / side));
    if (row >= 0 && column >= 0 && row < n && column < n) look(row, column);
  });
  canvas.addEventListener("focus", () => at || look(0, 1));
  canvas.addEventListener("keydown", (event) => {
    const [row, column] = at ?? [0, 1];
    const moves = {
      ArrowUp: [row - 1, column], ArrowDown: [row + 1, column], ArrowLeft: [row, column - 1],
      ArrowRight: [row, column + 1], Home: [row, 0], End: [row, n - 1], PageUp: [row - 10, column],
      PageDown: [row + 10, column],
    };
    if (event.key === "Enter") {
      find.value = data.names[order[row]];
      mark(order[row]);
    } else if (event.key === "Escape") {
      find.value = "";
      mark(-1);
    } else if (moves[event.key]) look(...moves[event.key]);
    else return;
    event.preventDefault();
  });
  find.addEventListener("input", search);
  for (const choice of [above, below]) choice?.addEventListener("change", () => { paint(); search(); });
  ordered.addEventListener("change", () => {
    order = data.orders[Number(ordered.value)].places;
    at = null;
    paint();
  });
  new ResizeObserver(draw).observe(scroll);
  figure.hidden = false;
  paint();
}

document.querySelectorAll("figure.map").forEach(matrix);
