import { render } from "preact";
import { App } from "./view/app";
import "./style/base.css";
import "./style/list.css";
import "./style/pane.css";
import "./style/chat.css";

const page = document.getElementById("page");
if (page) render(<App />, page);
