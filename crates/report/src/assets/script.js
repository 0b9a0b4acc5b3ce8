(function () {
  "use strict";
  var SVG = document.querySelector("svg").namespaceURI;

  function element(name, className, text) {
    var made = document.createElement(name);
    made.className = className;
    if (text) made.textContent = text;
    return made;
  }

  /* Where the pointer is, in the units of the drawing. */
  function place(svg, event) {
    var matrix = svg.getScreenCTM();
    return matrix ? new DOMPoint(event.clientX, event.clientY).matrixTransform(matrix.inverse()) : null;
  }

  function nearest(spots, at, most) {
    var best = null, least = most * most;
    spots.forEach(function (spot) {
      var d = (spot.x - at.x) * (spot.x - at.x) + (spot.y - at.y) * (spot.y - at.y);
      if (d < least) { least = d; best = spot; }
    });
    return best;
  }

  /* A ring around what is being read. */
  function ringOf(svg) {
    var ring = document.createElementNS(SVG, "circle");
    ring.setAttribute("class", "ring");
    ring.setAttribute("r", "6");
    ring.setAttribute("visibility", "hidden");
    svg.appendChild(ring);
    return function (spot) {
      ring.setAttribute("visibility", spot ? "visible" : "hidden");
      if (spot) { ring.setAttribute("cx", spot.x); ring.setAttribute("cy", spot.y); }
    };
  }

  /* Pointer and arrow keys choose a spot; `step` says which one a key leads to, `show` shows it or, for null, nothing. */
  function readable(canvas, reach, name, spots, step, show) {
    var svg = canvas.querySelector("svg"), ring = ringOf(svg), current = null;
    function choose(spot, isSpoken) { current = spot; ring(spot); show(spot, isSpoken); }
    canvas.tabIndex = 0;
    canvas.setAttribute("role", "group");
    canvas.setAttribute("aria-label", name + ": arrow keys read off values, Escape ends");
    svg.addEventListener("pointermove", function (event) {
      var at = place(svg, event), spot = at && nearest(spots(), at, reach);
      if (spot !== current) choose(spot, false);
    });
    svg.addEventListener("pointerleave", function (event) {
      if (event.pointerType === "mouse" && document.activeElement !== canvas) choose(null, false);
    });
    canvas.addEventListener("keydown", function (event) {
      if (event.key === "Escape") { choose(null, false); return; }
      if (event.key.indexOf("Arrow") !== 0) return;
      event.preventDefault();
      var next = step(current, event.key.slice(5));
      if (next) choose(next, true);
    });
    canvas.addEventListener("blur", function () { choose(null, false); });
  }

  /* The places of a line, from its path, with the row of the table that says what they are. */
  function spotsOf(path, series) {
    var found = [], match, pattern = /[ML](-?[\d.]+) (-?[\d.]+)/g, at = 0;
    var first = Number(path.dataset.row), per = Number(path.dataset.per);
    while ((match = pattern.exec(path.getAttribute("d")))) {
      found.push({ x: Number(match[1]), y: Number(match[2]), row: first + Math.floor(at / per), series: series, at: at });
      at += 1;
    }
    return found;
  }

  function plot(figure) {
    var canvas = figure.querySelector(".canvas"), table = figure.querySelector("details table");
    var lines = Array.prototype.map.call(canvas.querySelectorAll("path[data-row]"), spotsOf);
    var all = [].concat.apply([], lines);
    if (!table || !all.length) return;
    var heads = table.tHead.rows[0].cells, rows = table.tBodies[0].rows;
    var tip = element("div", "tip", ""), name = figure.querySelector("figcaption").textContent;
    tip.hidden = true;
    tip.setAttribute("role", "status");
    canvas.appendChild(tip);
    function words(row) {
      return Array.prototype.map.call(row.cells, function (cell, i) {
        return (heads[i].textContent === "Series" ? "" : heads[i].textContent + ": ") + cell.textContent;
      }).join("\n");
    }
    function step(current, way) {
      if (!current) return lines[0][0];
      if (way === "Left" || way === "Right") return lines[current.series][current.at + (way === "Left" ? -1 : 1)];
      var other = lines[(current.series + (way === "Up" ? lines.length - 1 : 1)) % lines.length];
      return other.reduce(function (a, b) { return Math.abs(b.x - current.x) < Math.abs(a.x - current.x) ? b : a; });
    }
    readable(canvas, 40, name, function () { return all; }, step, function (spot) {
      var row = spot && rows[spot.row];
      tip.hidden = !row;
      if (row) { tip.textContent = words(row); tip.classList.toggle("flip", spot.x < 200); }
    });
  }

  function map(figure) {
    var canvas = figure.querySelector(".canvas"), card = figure.querySelector(".card");
    var tools = figure.querySelector(".tools"), select = tools.querySelector("select");
    var name = figure.querySelector("figcaption").textContent;
    var all = Array.prototype.map.call(canvas.querySelectorAll(".points path"), function (path) {
      var box = path.getBBox(), title = path.querySelector("title"), text = title.textContent;
      title.remove();
      return { x: box.x + box.width / 2, y: box.y + box.height / 2, path: path, text: text, of: path.dataset.c, picture: path.dataset.p };
    });
    var shown = all;
    var hint = "Point at an embedding, or move the focus to the map and use the arrow keys.";
    card.hidden = false;
    tools.hidden = false;
    function show(spot) {
      card.textContent = "";
      if (!spot) { card.appendChild(element("p", "note", hint)); return; }
      if (spot.picture) {
        var svg = document.createElementNS(SVG, "svg"), use = document.createElementNS(SVG, "use");
        svg.setAttribute("class", "thumb");
        svg.setAttribute("viewBox", "0 0 96 96");
        svg.setAttribute("aria-hidden", "true");
        use.setAttribute("href", "#p" + spot.picture);
        svg.appendChild(use);
        card.appendChild(svg);
      }
      card.appendChild(element("p", "", spot.text));
    }
    /* The next one in a direction: sideways counts double, so that a row is followed. */
    function step(current, way) {
      if (!current) return shown[0];
      var dx = way === "Left" ? -1 : way === "Right" ? 1 : 0, dy = way === "Up" ? -1 : way === "Down" ? 1 : 0;
      var best = null, least = Infinity;
      shown.forEach(function (spot) {
        var ahead = (spot.x - current.x) * dx + (spot.y - current.y) * dy;
        var aside = Math.abs((spot.x - current.x) * dy) + Math.abs((spot.y - current.y) * dx);
        if (spot !== current && ahead > 0.05 && ahead + 2 * aside < least) { least = ahead + 2 * aside; best = spot; }
      });
      return best;
    }
    select.addEventListener("change", function () {
      shown = all.filter(function (spot) { return select.value === "" || spot.of === select.value; });
      all.forEach(function (spot) { spot.path.classList.toggle("off", select.value !== "" && spot.of !== select.value); });
      card.textContent = "";
      var text = select.value === "" ? "All " + all.length + " embeddings." : shown.length + " of class " + select.selectedOptions[0].textContent + ".";
      card.appendChild(element("p", "", text));
    });
    tools.addEventListener("submit", function (event) { event.preventDefault(); });
    show(null);
    readable(canvas, 12, name, function () { return shown; }, step, show);
  }

  /* Only boxes that scroll are stops of the tab key. */
  function boxes() {
    document.querySelectorAll(".scroll").forEach(function (box) {
      if (box.scrollWidth > box.clientWidth || box.scrollHeight > box.clientHeight) box.tabIndex = 0;
      else box.removeAttribute("tabindex");
    });
  }

  document.querySelectorAll("figure.map").forEach(map);
  document.querySelectorAll("figure.plot:not(.map)").forEach(plot);
  boxes();
  window.addEventListener("resize", boxes);
  document.addEventListener("toggle", boxes, true);
})();
